import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import avro from 'avsc'
import { partitionFor, type RecordContent } from '../../src/log/port.ts'

const schemaFile = join(import.meta.dirname, '../../schemas/leads/webinar_attended/1.avsc')

/** webinar_attended over 100,000 leads: small events of many subjects, which is what weighs most per event. */
export const workload = { type: 'webinar_attended', leads: 100_000, webinars: 50 } as const

export interface Attendance {
  readonly leadId: string
  readonly webinarId: string
  readonly attendanceDuration: number
  readonly engagementScore: number
}

/** The same for the same index in every process. */
export const attendanceAt = (index: number): Attendance => {
  const mixed = mix(index)
  return {
    leadId: `L-${String(mixed % workload.leads).padStart(6, '0')}`,
    webinarId: `W-${mix(mixed) % workload.webinars}`,
    attendanceDuration: mixed % 5_400,
    engagementScore: (mixed % 101) / 100,
  }
}

/** As embudo writes it into the log, header by header. */
export const attendanceRecord = (
  index: number,
  schemaId: number,
  partitions: number,
): RecordContent & { readonly partition: number } => {
  const data = attendanceAt(index)
  const key = Buffer.from(data.leadId)
  return {
    key,
    partition: partitionFor(key, partitions),
    value: framed(schemaId, attendanceType.toBuffer(data)),
    headers: [
      ['ce_id', randomUUID()],
      ['ce_source', 'bench'],
      ['ce_time', startedAt],
      ['ce_type', workload.type],
      ['ce_dataschema', `${workload.type}/1`],
      ['ce_specversion', '1.0'],
      ['content-type', 'application/avro'],
    ],
  }
}

/** As a program that knows nothing of embudo would read the schema. */
export const attendanceSchema = (): avro.Type =>
  avro.Type.forSchema(JSON.parse(readFileSync(schemaFile, 'utf8')) as avro.Schema, { wrapUnions: false })

/** Confluent's framing. */
export const framed = (schemaId: number, body: Buffer): Buffer => {
  const value = Buffer.allocUnsafe(5 + body.length)
  value[0] = 0
  value.writeInt32BE(schemaId, 1)
  body.copy(value, 5)
  return value
}

const attendanceType = attendanceSchema()
const startedAt = new Date().toISOString()

/** murmur3's last steps: neighbours land far apart. */
const mix = (value: number): number => {
  let hash = Math.imul(value + 1, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
