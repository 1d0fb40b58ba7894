import { EmbudoError } from '../define/error.ts'

/** Next offsets of a model's live generation, by `<topic>:<partition>`. */
export type ReadPositions = (model: string) => Promise<ReadonlyMap<string, number>>

/** The first of these records that the model's live generation has parked, or that waits behind such a one. */
export type FindParked = (model: string, places: readonly Place[]) => Promise<Place | undefined>

interface Place {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

export interface ReadWaitParts {
  /** Of a topic, by its full name; undefined where there is no such topic. */
  readonly partitionsOf: (topic: string) => number | undefined
  readonly readPositions: ReadPositions
  readonly findParked: FindParked
  readonly readWaitMs: number
  readonly nowMs: () => number
  readonly wait: (ms: number) => Promise<void>
}

/**
 * Read your own writes: resolves once the model has applied what the header `Embudo-Position` names. Places in
 * topics that the model does not read are no concern of its; one without a topic reads all. Throws `bad_position`,
 * also for partitions that do not exist, `position_not_reached` when the wait is over, and `event_parked` where what
 * was written waits as a dead letter.
 */
export const waitForPosition = async (
  parts: ReadWaitParts,
  model: { readonly name: string; readonly topic?: string },
  header: string | string[] | undefined,
): Promise<void> => {
  if (header === undefined || header === '') return
  const wanted = parsePositions(String(header)).filter(
    ({ topic }) => model.topic === undefined || topic === model.topic,
  )
  const unknown = wanted.find(({ topic, partition }) => partition >= (parts.partitionsOf(topic) ?? 0))
  if (unknown !== undefined) {
    throw badPosition(`there is no partition ${unknown.partition} of ${unknown.topic}`)
  }
  const deadline = parts.nowMs() + parts.readWaitMs
  for (let pauseMs = 5; wanted.length > 0; pauseMs = Math.min(pauseMs * 2, 100)) {
    const applied = await parts.readPositions(model.name)
    const behind = wanted.filter(
      ({ topic, partition, offset }) => (applied.get(`${topic}:${partition}`) ?? 0) <= offset,
    )
    if (behind.length === 0) return await expectNoneParked(parts, model.name, wanted)
    const leftMs = deadline - parts.nowMs()
    if (leftMs <= 0) {
      const { topic, partition, offset } = behind[0]!
      throw new EmbudoError(
        'position_not_reached',
        `${model.name} has not applied ${topic}:${partition}:${offset} yet; try again`,
        {
          retriable: true,
        },
      )
    }
    await parts.wait(Math.min(pauseMs, leftMs))
  }
}

const expectNoneParked = async (
  { findParked }: ReadWaitParts,
  model: string,
  wanted: readonly Place[],
): Promise<void> => {
  const parked = await findParked(model, wanted)
  if (parked === undefined) return
  const { topic, partition, offset } = parked
  throw new EmbudoError(
    'event_parked',
    `${model} could not apply ${topic}:${partition}:${offset}: it waits as a dead letter (GET /api/dead-letters?projection=${model})`,
    { facts: { topic, partition, offset } },
  )
}

/** `embudo.leads:3:1042, embudo.leads:5:77` */
export const parsePositions = (header: string): Place[] =>
  header.split(',').map((text) => {
    const match = /^\s*([\w.-]{1,249}):(\d{1,9}):(\d{1,15})\s*$/.exec(text)
    if (match === null)
      throw badPosition('expected <topic>:<partition>:<offset>[, ...], as an answer gave it')
    return { topic: match[1]!, partition: Number(match[2]), offset: Number(match[3]) }
  })

const badPosition = (detail: string): EmbudoError =>
  new EmbudoError('bad_position', `Embudo-Position: ${detail}`, { facts: { field: 'Embudo-Position' } })
