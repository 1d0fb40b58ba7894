import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { Kafka, logLevel } from 'kafkajs'
import * as z from 'zod'
import { taskInput, tell } from '../task.ts'
import { type Attendance, attendanceSchema, framed } from '../workload.ts'

export interface UsualHandlerInput {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly schemaId: number
  readonly isIdempotent: boolean
}

/** How one writes it without embudo: Express, zod, avsc and one `producer.send` a request. */
const { brokers, topic, schemaId, isIdempotent } = taskInput<UsualHandlerInput>()

const kafka = new Kafka({ brokers: [...brokers], clientId: 'usual-handler', logLevel: logLevel.NOTHING })
const producer = kafka.producer(isIdempotent ? { idempotent: true } : {})
await producer.connect()

const type = attendanceSchema()
const eventSchema = z.object({
  type: z.literal('webinar_attended'),
  id: z.string().optional(),
  source: z.string().optional(),
  time: z.iso.datetime().optional(),
  data: z.object({
    leadId: z.string().min(1),
    webinarId: z.string(),
    attendanceDuration: z.int().min(0),
    engagementScore: z.number().min(0).max(1).nullable(),
  }),
})

const messageOf = (event: z.infer<typeof eventSchema>, id: string) => ({
  key: event.data.leadId,
  value: framed(schemaId, type.toBuffer(event.data satisfies Attendance | object)),
  headers: {
    ce_id: id,
    ce_source: event.source ?? 'http',
    ce_type: event.type,
    ce_time: event.time ?? new Date().toISOString(),
  },
})

const app = express()
app.use(express.json(), express.text({ type: 'application/x-ndjson', limit: '10mb' }))
app.post('/api/events', async (request, response) => {
  const lines: unknown[] =
    typeof request.body === 'string'
      ? request.body.split('\n').map((line) => JSON.parse(line))
      : [request.body]
  const events = lines.map((line) => eventSchema.safeParse(line))
  if (events.some((event) => !event.success)) return void response.status(422).json({ code: 'invalid_event' })
  const messages = events.map((event) => messageOf(event.data!, event.data!.id ?? randomUUID()))
  const [place] = await producer.send({ topic, acks: -1, messages })
  response
    .status(202)
    .json({ accepted: messages.length, partition: place?.partition, offset: place?.baseOffset })
})
const server = app.listen(0, '127.0.0.1', () => tell({ port: (server.address() as AddressInfo).port }))
