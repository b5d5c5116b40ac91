// Runs a model in WebAssembly: node run_wasm.mjs alula.wasm MODEL INPUT OUTPUT. Fails where the vector kernels are not used.
import { readFileSync, writeFileSync } from "node:fs";

const [module, model, input, output] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(module), {});
const { memory, alula_wasm_allocate, alula_wasm_run, alula_wasm_used_vectors } = instance.exports;

function place(bytes) {
  const address = alula_wasm_allocate(bytes.length);
  new Uint8Array(memory.buffer).set(bytes, address);
  return address;
}

const [modelBytes, inputBytes] = [readFileSync(model), readFileSync(input)];
const capacity = 1 << 20;
const result = place(new Uint8Array(capacity));
const size = alula_wasm_run(
  place(modelBytes), modelBytes.length, place(inputBytes), inputBytes.length, result, capacity);
if (size < 0 || !alula_wasm_used_vectors()) {
  console.error(size < 0 ? `the model did not run: ${size}` : "the scalar kernels ran");
  process.exit(1);
}
writeFileSync(output, new Uint8Array(memory.buffer, result, size));
