import { globSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join, posix } from 'node:path'

/** One file's import, re-export or `import()`; types included. */
export interface Import {
  readonly from: string
  /** A file of the project (`src/log/port.ts`), a package (`pg`), or `node:fs`. */
  readonly to: string
}

export const root = join(import.meta.dirname, '../..')

export const filesOf = (...patterns: string[]): string[] =>
  globSync(patterns, { cwd: root, exclude: ['**/node_modules/**'] }).toSorted()

export const textOf = (file: string): string => readFileSync(join(root, file), 'utf8')

export const importsOf = (file: string): Import[] =>
  scanImports(textOf(file)).map((to) => ({ from: file, to: resolved(file, to) }))

/** What a source says it imports, in the words of the source. Statements begin a line: the formatter sees to it. */
export const scanImports = (source: string): string[] =>
  patterns.flatMap((pattern) => [...source.matchAll(pattern)].map((match) => match[1]!))

const patterns = [
  /^import\s+(?:type\s+)?[\w$*{][^'"`;=()]*?\sfrom\s+['"]([^'"]+)['"]/gm,
  /^import\s+['"]([^'"]+)['"]/gm,
  /^export\s+(?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})\s+from\s+['"]([^'"]+)['"]/gm,
  /\bimport\(\s*['"]([^'"]+)['"]/g,
]

const resolved = (file: string, specifier: string): string => {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(file), specifier)
  if (builtinModules.includes(specifier)) return `node:${specifier}`
  if (specifier.startsWith('node:')) return specifier
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** The first circle that is found, as the files on it. */
export const findCycle = (imports: readonly Import[]): string[] | undefined => {
  const next = Map.groupBy(imports, (edge) => edge.from)
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const { to } of next.get(file) ?? []) {
      const cycle = visit(to, [...path, file])
      if (cycle !== undefined) return cycle
    }
    done.add(file)
    return undefined
  }
  for (const file of next.keys()) {
    const cycle = visit(file, [])
    if (cycle !== undefined) return cycle
  }
  return undefined
}
