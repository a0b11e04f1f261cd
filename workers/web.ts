/** Worker entry for Web Workers (browsers). */
import { expose } from 'comlink'
import { createWorkerApi } from './carryOut.js'

expose(createWorkerApi())
