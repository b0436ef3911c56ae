// Validating admission: an image is named with a tag, and the tag is not `latest`. The modules `wasmgate:plugin/*` are generated from wit/.

import type { Denial } from "wasmgate:plugin/admission-types@0.2.0";
import type { Json } from "wasmgate:plugin/types@0.2.0";
import type { Request } from "wasmgate:plugin/requests@0.2.0";

interface Container {
  name: string;
  image: string;
}

/** What plugin.yaml asks for. */
interface Input {
  object: { spec: { initContainers?: Container[]; containers?: Container[] } };
}

export const plugin = {
  configure(_config: Json): void {},
};

export const validatingAdmission = {
  validate(_request: Request, input: Json): void {
    const { spec } = (JSON.parse(input) as Input).object;
    for (const { image, name } of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
      if (isLatest(image)) {
        throw { tag: "forbidden", val: `image "${image}" of container "${name}" needs a tag other than latest` } satisfies Denial;
      }
    }
  },
};

/** `registry:5000/name` has a port and no tag; `name@sha256:…` is exact whatever its tag is. */
function isLatest(image: string): boolean {
  const name = image.slice(image.lastIndexOf("/") + 1);
  const tag = name.split(":")[1];
  return !name.includes("@") && (tag === undefined || tag === "latest");
}
