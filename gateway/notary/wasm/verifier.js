// The verifier in the browser: the same code as `sluicegate verify`, compiled to WebAssembly.
//
// Guarantees: the module has no imports, so it can reach neither network nor page; the file stays in its memory.
// Does not: show anything. A page calls `const check = await loadVerifier(wasm)`, then `check(bundle, policy)`, and
// gets the report that `sluicegate verify --json` prints, or throws when the policy can't be read.

// wasm: base64 text or bytes. Gives a function (bundle bytes, policy text) -> report.
async function loadVerifier(wasm) {
  const code = typeof wasm === "string"
    ? Uint8Array.from(atob(wasm), (letter) => letter.charCodeAt(0))
    : wasm;
  const { module } = await WebAssembly.instantiate(code, {});

  return (bundle, policy) => {
    // A fresh instance for each file: nothing is left of the one before, even after a failure.
    const { memory, allocate, verify } = new WebAssembly.Instance(module, {}).exports;

    const put = (bytes) => {
      const place = allocate(bytes.length);
      new Uint8Array(memory.buffer).set(bytes, place);
      return [place, bytes.length];
    };

    const file = put(new Uint8Array(bundle));
    const trust = put(new TextEncoder().encode(policy));
    const answer = verify(...file, ...trust);
    const length = new DataView(memory.buffer).getUint32(answer, true);
    const json = new Uint8Array(memory.buffer, answer + 4, length);
    const report = JSON.parse(new TextDecoder().decode(json));
    if (report.error) {
      throw new Error(report.error);
    }
    return report;
  };
}

if (typeof module !== "undefined") {
  module.exports = { loadVerifier };
}
