"""NEAR's WebAssembly host on wasmtime: host functions, receipts, state overlay."""
