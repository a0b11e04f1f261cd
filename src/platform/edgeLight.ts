/** The edge runtimes of Vercel and Netlify: an import with `?module` is a compiled module. */
import module from '../../gpfq.wasm?module'
import { edgePlatform } from './edge.js'

export const platform = edgePlatform(module)
