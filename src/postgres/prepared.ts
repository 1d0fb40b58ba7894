import { hash } from 'node:crypto'
import type { QueryConfig } from 'pg'

/** Parsed and planned once a connection: for what comes often and costs more to plan than to run. */
export const prepared = (text: string, values: unknown[]): QueryConfig => ({
  name: hash('sha1', text),
  text,
  values,
})
