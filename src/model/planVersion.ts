/** Version of the plan's format: a plan of another version is refused. */
export const PLAN_VERSION = 4
