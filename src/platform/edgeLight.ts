/** Edge runtimes in the manner of Vercel and Netlify: `?module` imports a compiled module. */
import module from '../../gpfq.wasm?module'
import { edgePlatform } from './edge.js'

export const platform = edgePlatform(module)
