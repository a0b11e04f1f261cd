/**
 * What only Node, Bun and Deno have: checkpoints in a folder.
 * @module gpfq/node
 */
export { folderStore } from './data/folderStore.js'
export type { Store } from './model/checkpoint/store.js'
