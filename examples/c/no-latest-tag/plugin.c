// Validating admission: an image is named with a tag, and the tag is not `latest`. `no_latest_tag.h` is generated from wit/.

#include <stdio.h>
#include <string.h>

#include "no_latest_tag.h"

typedef wasmgate_plugin_requests_borrow_request_t request_t;
typedef exports_wasmgate_plugin_validating_admission_denial_t denial_t;
typedef no_latest_tag_string_t string_t;
typedef no_latest_tag_list_string_t strings_t;

// There is no `config`.
bool exports_wasmgate_plugin_plugin_configure(exports_wasmgate_plugin_plugin_json_t *config, string_t *error) {
  no_latest_tag_string_free(config);
  return true;
}

// `registry:5000/name` has a port and no tag; `name@sha256:…` is exact whatever its tag is.
static bool is_latest(string_t image) {
  const char *name = (const char *)image.ptr, *end = name + image.len;
  for (const char *at = name; at < end; at++) {
    if (*at == '/') name = at + 1;
  }
  if (memchr(name, '@', end - name)) return false;
  const char *tag = memchr(name, ':', end - name);
  return !tag || (end - tag == strlen(":latest") && !memcmp(tag, ":latest", end - tag));
}

// The texts at a pointer into the request. The host refuses only what is longer than this pointer is.
static strings_t texts(request_t request, const char *pointer) {
  string_t asked;
  strings_t found;
  wasmgate_plugin_requests_lookup_error_t error;
  no_latest_tag_string_set(&asked, pointer);
  if (!wasmgate_plugin_requests_method_request_get_strings(request, &asked, &found, &error)) __builtin_trap();
  return found;
}

static void refuse(denial_t *denial, string_t image, string_t name) {
  const char *format = "image \"%.*s\" of container \"%.*s\" needs a tag other than latest";
  char message[1024];
  snprintf(message, sizeof message, format, (int)image.len, image.ptr, (int)name.len, name.ptr);
  denial->tag = WASMGATE_PLUGIN_ADMISSION_TYPES_DENIAL_FORBIDDEN;
  no_latest_tag_string_dup(&denial->val.forbidden, message);
}

// True: every image of the list has another tag.
static bool check(request_t request, const char *image_pointer, const char *name_pointer, denial_t *denial) {
  strings_t images = texts(request, image_pointer);
  size_t at = 0;
  while (at < images.len && !is_latest(images.ptr[at])) at++;
  bool passed = at == images.len;
  if (!passed) {
    strings_t names = texts(request, name_pointer);
    refuse(denial, images.ptr[at], names.ptr[at]);
    no_latest_tag_list_string_free(&names);
  }
  no_latest_tag_list_string_free(&images);
  return passed;
}

bool exports_wasmgate_plugin_validating_admission_validate(exports_wasmgate_plugin_validating_admission_own_request_t given,
                                                           exports_wasmgate_plugin_validating_admission_json_t *input, denial_t *denial) {
  request_t request = wasmgate_plugin_requests_borrow_request(given);
  bool passed = check(request, "/object/spec/initContainers/*/image", "/object/spec/initContainers/*/name", denial) &&
                check(request, "/object/spec/containers/*/image", "/object/spec/containers/*/name", denial);
  no_latest_tag_string_free(input);
  wasmgate_plugin_requests_request_drop_own(given);
  return passed;
}
