/** What package.json's "#jpegWasm" means in a page: the decoder fetches its wasm file, which bundlers put beside it. */
export const jpegWasm: (() => Promise<Uint8Array>) | undefined = undefined
