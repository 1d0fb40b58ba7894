import { eventTables } from '../../src/define/event-tables.ts'

/** Every event of every topic, for analytics. */
export default eventTables({ name: 'events', version: 1 })
