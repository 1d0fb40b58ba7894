import type { IncomingMessage } from 'node:http'
import { expect, it } from 'vitest'
import { callerOf } from '../../../src/ingest/caller.ts'

it.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:aaaa:bbbb:cccc:dddd', '2001:db8:1:2'],
  ['2001:db8:1:2::1', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  [undefined, ''],
])('%s sends as %s', (remoteAddress, caller) => {
  expect(callerOf({ socket: { remoteAddress } } as IncomingMessage)).toBe(caller)
})
