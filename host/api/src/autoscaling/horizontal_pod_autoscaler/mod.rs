//! HorizontalPodAutoscaler: its row of the table of kinds. What it does of its own is in the files of this folder (upstream: `pkg/registry/autoscaling/horizontalpodautoscaler`).

mod columns;
mod conversion;
mod defaults;
mod validation;

use crate::kinds::kind::{Conversion, Kind, StatusMetadata};

/// The row.
pub(crate) static KIND: Kind = Kind::new("autoscaling", "HorizontalPodAutoscaler")
    .status(StatusMetadata::Free)
    .default(defaults::default)
    .validate(validation::validate)
    .validate_update(validation::validate_update)
    .validate_subresource(validation::validate_status)
    .printer(columns::row)
    .round_trip_annotations(&[conversion::METRICS, conversion::CURRENT_METRICS, conversion::BEHAVIOR, conversion::CONDITIONS])
    .converts_from(&[
        Conversion { from: ("autoscaling", "v1"), to: "v2", convert: conversion::to_v2 },
        Conversion { from: ("autoscaling", "v2"), to: "v1", convert: conversion::to_v1 },
    ]);
