/** workerd (Cloudflare Workers): an import of a .wasm file is a compiled module. */
import module from '../../gpfq.wasm'
import { edgePlatform } from './edge.js'

export const platform = edgePlatform(module)
