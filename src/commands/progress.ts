import progress from 'cli-progress'
import type { CommandContext } from './context.ts'

export interface ProgressBar {
  update(done: number, shown?: Readonly<Record<string, string>>): void
  /** Leaves the bar where it stands and goes to the next line. */
  stop(): void
}

/** On a terminal only; elsewhere it shows nothing. `{bar} {percentage} {eta_formatted}` and names of `shown`. */
export const progressBar = (
  { stderr, showsProgress }: Pick<CommandContext, 'stderr' | 'showsProgress'>,
  format: string,
  total: number,
  shown: Readonly<Record<string, string>> = {},
): ProgressBar => {
  if (!showsProgress) return { update() {}, stop() {} }
  const bar = new progress.SingleBar(
    { format, stream: stderr, hideCursor: true, gracefulExit: false, barsize: 30 },
    progress.Presets.shades_classic,
  )
  bar.start(Math.max(1, total), 0, shown)
  return {
    update: (done, more = {}) => bar.update(Math.min(done, Math.max(1, total)), more),
    stop: () => bar.stop(),
  }
}
