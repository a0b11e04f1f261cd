/**
 * Calibration on many machines, over a queue in Redis.
 * @module gpfq/cluster
 */
export type { Cluster } from '../model/clusterSteps.js'
export { type ClusterOptions, type OpenCluster, openCluster } from './cluster.js'
export { type OpenStore, openStore } from './store.js'
export { runWorker, type WorkerOptions } from './worker.js'
