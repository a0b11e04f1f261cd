/** What package.json's "#jpegWasm" means in Node, where the JPEG decoder cannot fetch its wasm file: it is read from its package. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'

export const jpegWasm = (): Promise<Uint8Array> =>
  readFile(createRequire(import.meta.url).resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm'))
