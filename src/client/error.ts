/** An event as it goes over the wire. */
export interface SentEvent {
  readonly type: string
  readonly id: string
  readonly source: string
  /** When it happened: ISO 8601 in UTC. */
  readonly time: string
  readonly data: unknown
}

/**
 * Why an event was given up. `code` is stable: the platform's own where it refused the event (`missing_field`,
 * `wrong_type`, ...), otherwise
 *
 * | code | |
 * | --- | --- |
 * | `queue_full` | too much waits already; the event was not taken |
 * | `event_too_large` | it is larger than the whole queue may be |
 * | `delivery_timeout` | no acceptance within `deliveryTimeoutMs`; the message says what went wrong last |
 * | `closed` | the client was closed before |
 * | `not_json` | the data cannot be written as JSON |
 * | `bad_option` | thrown by `createClient` |
 */
export class SendError extends Error {
  override readonly name = 'SendError'
  readonly code: string
  /** A JSON pointer into the event, for example `/data/attendanceDuration`; empty where it is not about a field. */
  readonly field: string
  /** True for what passes by itself: sending the same event with the same id later may succeed. */
  readonly retriable: boolean
  /** True where the event may stand in the log all the same: an attempt has had no answer. */
  readonly mayHaveArrived: boolean

  constructor(
    code: string,
    message: string,
    { field = '', retriable = false, mayHaveArrived = false, cause = undefined as unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.field = field
    this.retriable = retriable
    this.mayHaveArrived = mayHaveArrived
  }
}
