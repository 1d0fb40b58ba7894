import process from 'node:process'

/** The status that a shell gives to what Ctrl-C ended. */
const interruptedStatus = 130

/** The first Ctrl-C stops after what is under way; the second one ends the process at once. */
export const onSecondInterrupt = (signal: AbortSignal): Disposable => {
  const exit = () => process.exit(interruptedStatus)
  const listen = () => void process.once('SIGINT', exit)
  if (signal.aborted) listen()
  else signal.addEventListener('abort', listen, { once: true })
  return {
    [Symbol.dispose]() {
      signal.removeEventListener('abort', listen)
      process.removeListener('SIGINT', exit)
    },
  }
}
