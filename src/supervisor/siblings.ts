import type { ChildProcess } from 'node:child_process'
import { connectionsToGiveUp, type Load } from './balance.ts'

/** Several processes of the same roles behind one port, as one of them sees it. */
export interface Siblings {
  /** This one's number among them, from 1; it keeps it when it is started again. */
  readonly number: number
  /** What this one has to tell when a sibling asks for everybody's. */
  tell(read: () => Promise<string>): void
  /**
   * What all have to tell, this one included; who does not answer in time is left out. A scrape of the port reaches
   * any of them: were it to answer for itself, counters would go back and forth.
   */
  askAll(): Promise<readonly string[]>
  /** To be called again and again; answered with a number of connections to part with. */
  tellLoad(load: Load, giveUp: (connections: number) => void): void
}

/** A process that stands still must not take the others' answer with it. */
const patienceMs = 2_000

/** To the supervisor, and from it: `of` and `for` are the number of a question. */
type FromProcess =
  | { readonly askAll: number }
  | { readonly told: string; readonly of: number }
  | { readonly load: Load }
type ToProcess =
  | { readonly tell: number }
  | { readonly answers: readonly string[]; readonly for: number }
  | { readonly giveUp: number }

/** In a process that a supervisor has started. */
export const joinSiblings = (number: number): Siblings => {
  const waiting = new Map<number, (answers: readonly string[]) => void>()
  let asked = 0
  let read = async (): Promise<string> => ''
  let giveUp = (_connections: number): void => {}
  const send = (message: FromProcess) => process.send?.(message)
  process.on('message', (message: ToProcess) => {
    if ('tell' in message) {
      // Who cannot tell is left out, as who does not answer.
      read().then(
        (told) => send({ told, of: message.tell }),
        () => {},
      )
    } else if ('answers' in message) {
      waiting.get(message.for)?.(message.answers)
      waiting.delete(message.for)
    } else if ('giveUp' in message) {
      giveUp(message.giveUp)
    }
  })
  return {
    number,
    tell: (given) => {
      read = given
    },
    askAll: () =>
      new Promise((resolve, reject) => {
        const id = ++asked
        // Who asks for the others may stand still as well: then this one tells what it knows.
        const tooLong = setTimeout(() => {
          waiting.delete(id)
          read().then((told) => resolve([told]), reject)
        }, 2 * patienceMs)
        waiting.set(id, (answers) => {
          clearTimeout(tooLong)
          resolve(answers)
        })
        send({ askAll: id })
      }),
    tellLoad: (load, answer) => {
      giveUp = answer
      send({ load })
    },
  }
}

/** In the supervisor: hands the questions of one process to all, and compares their loads. */
export class SiblingExchange {
  readonly #processes = new Set<ChildProcess>()
  readonly #loads = new Map<ChildProcess, Load>()
  readonly #open = new Map<number, Question>()
  #asked = 0

  join(child: ChildProcess): void {
    this.#processes.add(child)
    child.on('message', (message: FromProcess) => {
      if ('askAll' in message) this.#ask(child, message.askAll)
      else if ('told' in message) this.#open.get(message.of)?.answer(child, message.told)
      else if ('load' in message) this.#compare(child, message.load)
    })
    child.once('exit', () => {
      this.#processes.delete(child)
      this.#loads.delete(child)
      for (const question of this.#open.values()) question.answer(child, undefined)
    })
  }

  #compare(child: ChildProcess, load: Load): void {
    this.#loads.set(child, load)
    tell(child, { giveUp: connectionsToGiveUp(load, [...this.#loads.values()]) })
  }

  #ask(asker: ChildProcess, number: number): void {
    const id = ++this.#asked
    const question = new Question(this.#processes, (answers) => {
      this.#open.delete(id)
      tell(asker, { answers, for: number })
    })
    this.#open.set(id, question)
    for (const child of this.#processes) tell(child, { tell: id })
  }
}

class Question {
  readonly #waitsFor: Set<ChildProcess>
  readonly #answers: string[] = []
  readonly #finish: () => void

  constructor(asked: Iterable<ChildProcess>, done: (answers: readonly string[]) => void) {
    this.#waitsFor = new Set(asked)
    const tooLong = setTimeout(() => this.#finish(), patienceMs)
    this.#finish = () => {
      clearTimeout(tooLong)
      done(this.#answers)
    }
  }

  answer(child: ChildProcess, told: string | undefined): void {
    if (!this.#waitsFor.delete(child)) return
    if (told !== undefined) this.#answers.push(told)
    if (this.#waitsFor.size === 0) this.#finish()
  }
}

/** One that has just died needs no message: its end is noticed by itself. */
const tell = (child: ChildProcess, message: ToProcess): void => {
  if (child.connected) child.send(message, () => {})
}
