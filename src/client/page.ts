/** The page that the client runs in, as far as it matters to it. */
export interface Page {
  readonly isHidden: () => boolean
  /** Returns how listening ends. */
  readonly listen: (listener: PageListener) => () => void
}

export interface PageListener {
  /** Nobody sees the page any more; on a phone often the last that it hears. */
  hidden(): void
  /** The page goes away, and does not always come back. */
  leaving(): void
  /** It came back, or can be seen again. */
  back(): void
  online(): void
}

/** What of a browser's `window` is used here. */
interface WindowLike extends Target {
  readonly document?: Target & { readonly visibilityState: string }
}

interface Target {
  addEventListener?(type: string, listener: () => void): void
  removeEventListener?(type: string, listener: () => void): void
}

/** Undefined in Node and in workers, which have no page to be hidden. */
export const pageOf = (scope: object): Page | undefined => {
  const window = scope as WindowLike
  const { document } = window
  if (document?.addEventListener === undefined || window.addEventListener === undefined) return undefined
  const isHidden = () => document.visibilityState === 'hidden'
  return {
    isHidden,
    listen: (listener) => {
      const heard: readonly (readonly [Target, string, () => void])[] = [
        [document, 'visibilitychange', () => (isHidden() ? listener.hidden() : listener.back())],
        // Not `unload`: a page that listens to it is not kept for the way back.
        [window, 'pagehide', () => listener.leaving()],
        [window, 'pageshow', () => listener.back()],
        [window, 'online', () => listener.online()],
      ]
      for (const [target, type, call] of heard) target.addEventListener?.(type, call)
      return () => {
        for (const [target, type, call] of heard) target.removeEventListener?.(type, call)
      }
    },
  }
}
