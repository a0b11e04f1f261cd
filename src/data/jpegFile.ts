/** "#jpegWasm" of package.json in Node: the wasm file is read from its package, because the JPEG decoder cannot fetch it. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'

/** The bytes of the JPEG decoder's wasm file. */
export const jpegWasm = (): Promise<Uint8Array> =>
  readFile(createRequire(import.meta.url).resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm'))
