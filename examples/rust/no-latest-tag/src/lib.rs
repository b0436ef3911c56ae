//! Validating admission: an image is named with a tag, and the tag is not `latest`.

use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde_json::Value;

/// The plugin.
#[derive(Default)]
pub struct NoLatestTag;

impl Plugin for NoLatestTag {}

impl ValidatingAdmission for NoLatestTag {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let Some(pod) = request.object() else { return Ok(()) };
        for list in ["/spec/initContainers", "/spec/containers"] {
            for container in pod.get(list).iter().filter_map(Value::as_array).flatten() {
                let image = container["image"].as_str().unwrap_or_default();
                if is_latest(image) {
                    return Err(deny_forbidden(format!(
                        "image \"{image}\" of container {} needs a tag other than latest",
                        container["name"]
                    )));
                }
            }
        }
        Ok(())
    }
}

wasmgate_sdk::plugin!(NoLatestTag: validating_admission);

/// `registry:5000/name` has a port and no tag; `name@sha256:…` is exact whatever its tag is.
fn is_latest(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or(image);
    !name.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

#[cfg(test)]
mod tests {
    use wasmgate_sdk::serde_json::json;

    use super::*;

    #[test]
    fn images() {
        let rows = [
            ("nginx:1.27", ""),
            ("registry:5000/nginx:1.27", ""),
            ("nginx@sha256:abc", ""),
            ("nginx", "image \"nginx\" of container \"c\" needs a tag other than latest"),
            ("nginx:latest", "image \"nginx:latest\" of container \"c\" needs a tag other than latest"),
            ("registry:5000/nginx", "image \"registry:5000/nginx\" of container \"c\" needs a tag other than latest"),
        ];
        for (image, want) in rows {
            let pod = json!({"spec": {"containers": [{"name": "c", "image": image}]}});
            let answer = NoLatestTag.validate(&Request::new(Default::default(), Some(Object::of(&pod)), None));
            let want = if want.is_empty() { Ok(()) } else { Err(deny_forbidden(want)) };
            assert_eq!(answer, want, "{image}");
        }
    }
}
