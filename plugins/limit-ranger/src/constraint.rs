//! Minimum, maximum, ratio: whether what is asked for is within a limit, in upstream's words.

use std::collections::BTreeSet;

use wasmgate_sdk::quantity::{MILLI_VALUE_MAX, Quantity};

use crate::ranges::{Limit, ResourceList};

/// All that is wrong, each thing once.
#[derive(Default)]
pub struct Violations {
    messages: Vec<String>,
    seen: BTreeSet<String>,
}

impl Violations {
    fn add(&mut self, result: Result<(), String>) {
        if let Err(message) = result
            && self.seen.insert(message.clone())
        {
            self.messages.push(message);
        }
    }

    /// One is itself, several are a list; none where nothing is wrong.
    pub fn message(self) -> Option<String> {
        match self.messages.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(format!("[{}]", several.join(", "))),
        }
    }
}

/// Checks requests and limits of a container or a pod.
pub fn check(limit: &Limit, requests: &ResourceList, limits: &ResourceList, violations: &mut Violations) {
    for (name, enforced) in &limit.min {
        violations.add(min(&limit.r#type, name, enforced, requests.get(name), limits.get(name)));
    }
    for (name, enforced) in &limit.max {
        violations.add(max(&limit.r#type, name, enforced, requests.get(name), limits.get(name)));
    }
    for (name, enforced) in &limit.max_limit_request_ratio {
        violations.add(ratio(&limit.r#type, name, enforced, requests.get(name), limits.get(name)));
    }
}

/// Checks the requests of a claim: it has no limits that mean anything.
pub fn check_requests(limit: &Limit, requests: &ResourceList, violations: &mut Violations) {
    for (name, enforced) in &limit.min {
        violations.add(min(&limit.r#type, name, enforced, requests.get(name), None));
    }
    for (name, enforced) in &limit.max {
        violations.add(max_request(&limit.r#type, name, enforced, requests.get(name)));
    }
}

/// Request, limit and what is enforced, all in thousandths where all three fit, else all in whole numbers.
fn comparable(request: Option<&Quantity>, limit: Option<&Quantity>, enforced: &Quantity) -> (i64, i64, i64) {
    let zero = Quantity::default();
    let all = [request.unwrap_or(&zero), limit.unwrap_or(&zero), enforced];
    let [request, limit, enforced] = if all.iter().all(|quantity| quantity.value() <= MILLI_VALUE_MAX) {
        all.map(Quantity::milli_value)
    } else {
        all.map(Quantity::value)
    };
    (request, limit, enforced)
}

fn min(kind: &str, name: &str, enforced: &Quantity, request: Option<&Quantity>, limit: Option<&Quantity>) -> Result<(), String> {
    let (request_value, limit_value, enforced_value) = comparable(request, limit, enforced);
    let Some(request) = request else {
        return Err(format!("minimum {name} usage per {kind} is {enforced}.  No request is specified"));
    };
    if request_value < enforced_value {
        return Err(format!("minimum {name} usage per {kind} is {enforced}, but request is {request}"));
    }
    match limit {
        Some(limit) if limit_value < enforced_value => Err(format!("minimum {name} usage per {kind} is {enforced}, but limit is {limit}")),
        _ => Ok(()),
    }
}

fn max(kind: &str, name: &str, enforced: &Quantity, request: Option<&Quantity>, limit: Option<&Quantity>) -> Result<(), String> {
    let (request_value, limit_value, enforced_value) = comparable(request, limit, enforced);
    let Some(limit) = limit else {
        return Err(format!("maximum {name} usage per {kind} is {enforced}.  No limit is specified"));
    };
    if limit_value > enforced_value {
        return Err(format!("maximum {name} usage per {kind} is {enforced}, but limit is {limit}"));
    }
    match request {
        Some(request) if request_value > enforced_value => {
            Err(format!("maximum {name} usage per {kind} is {enforced}, but request is {request}"))
        }
        _ => Ok(()),
    }
}

fn max_request(kind: &str, name: &str, enforced: &Quantity, request: Option<&Quantity>) -> Result<(), String> {
    let (request_value, _, enforced_value) = comparable(request, None, enforced);
    match request {
        None => Err(format!("maximum {name} usage per {kind} is {enforced}.  No request is specified")),
        Some(request) if request_value > enforced_value => {
            Err(format!("maximum {name} usage per {kind} is {enforced}, but request is {request}"))
        }
        Some(_) => Ok(()),
    }
}

fn ratio(kind: &str, name: &str, enforced: &Quantity, request: Option<&Quantity>, limit: Option<&Quantity>) -> Result<(), String> {
    let (request_value, limit_value, _) = comparable(request, limit, enforced);
    if request.is_none() || request_value == 0 {
        return Err(format!("{name} max limit to request ratio per {kind} is {enforced}, but no request is specified or request is 0"));
    }
    if limit.is_none() || limit_value == 0 {
        return Err(format!("{name} max limit to request ratio per {kind} is {enforced}, but no limit is specified or limit is 0"));
    }
    let shown = limit_value as f64 / request_value as f64;
    let (observed, enforced_value) = match enforced.value() {
        value if value <= MILLI_VALUE_MAX => (shown * 1000.0, enforced.milli_value() as f64),
        value => (shown, value as f64),
    };
    if observed > enforced_value {
        return Err(format!("{name} max limit to request ratio per {kind} is {enforced}, but provided ratio is {shown:.6}"));
    }
    Ok(())
}
