/**
 * ClickHouse tables: one for each event type, filled with the payload's own bytes, and one name over all of
 * them for questions that span types. Personal fields never reach them.
 */
export interface EventTablesDefinition {
  readonly kind: 'event tables'
  readonly name: string
  readonly version: number
}

export const eventTables = (input: Omit<EventTablesDefinition, 'kind'>): EventTablesDefinition => ({
  ...input,
  kind: 'event tables',
})
