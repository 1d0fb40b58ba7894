export interface BackOff {
  readonly minBackOffMs: number
  readonly maxBackOffMs: number
}

/** Exponential, half of it drawn, so that many senders do not come back together. */
export const backOffMs = (failures: number, { minBackOffMs, maxBackOffMs }: BackOff, random: () => number) =>
  Math.min(maxBackOffMs, minBackOffMs * 2 ** failures) * (0.5 + random() / 2)

/**
 * What a `Retry-After` header asks for, in milliseconds: seconds, or a date. A date is compared with the server's
 * own `Date` where it can be read, so that a sender's clock that is wrong does not matter.
 */
export const retryAfterMs = (
  header: string | null,
  serverDate: string | null,
  nowMs: number,
): number | undefined => {
  if (header === null) return undefined
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1_000
  const at = Date.parse(header)
  if (Number.isNaN(at)) return undefined
  const server = Date.parse(serverDate ?? '')
  return Math.max(0, at - (Number.isNaN(server) ? nowMs : server))
}
