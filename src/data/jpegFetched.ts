/** "#jpegWasm" of package.json in a page: the decoder fetches its wasm file itself, which bundlers put beside it. */
export const jpegWasm: (() => Promise<Uint8Array>) | undefined = undefined
