import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { versions } from '../../../schemas/events.generated.ts'
import { inputsSource } from './inputs-source.ts'

/**
 * The client as a package of its own, without what the platform needs: `<out>/client/*.js` with declarations, and a
 * package.json beside it, so that `npm install <out>` or `npm pack <out>` is all that a front end needs.
 *
 *     node src/client/package/build.ts --out dist
 */
const root = resolve(import.meta.dirname, '../../..')
const { values } = parseArgs({ options: { out: { type: 'string', default: join(root, 'dist') } } })
const out = resolve(values.out)

// Compiled away from the tree, against a browser's types alone: nothing of Node, of the platform or of its packages
// can slip in.
const work = await mkdtemp(join(tmpdir(), 'embudo-client-'))
try {
  const source = join(import.meta.dirname, '..')
  const files = (await readdir(source)).filter((file) => file.endsWith('.ts'))
  for (const file of files) await cp(join(source, file), join(work, file))
  await writeFile(join(work, 'event-inputs.ts'), inputsSource(versions))
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022', 'esnext.disposable', 'dom'],
    module: 'nodenext',
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    rewriteRelativeImportExtensions: true,
    verbatimModuleSyntax: true,
    declaration: true,
    rootDir: '.',
    outDir: join(out, 'client'),
  }
  await writeFile(join(work, 'package.json'), '{ "type": "module" }')
  await writeFile(join(work, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  await rm(join(out, 'client'), { recursive: true, force: true })
  await mkdir(out, { recursive: true })
  await compile(work)
  await nameCompiledFiles(join(out, 'client'))

  const { name, version, license, engines } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const manifest = {
    name,
    version,
    description: 'Sends events to embudo, from browsers and Node.',
    license,
    type: 'module',
    sideEffects: false,
    engines: { node: engines.node },
    exports: { './client': { types: './client/client.d.ts', default: './client/client.js' } },
    files: ['client'],
  }
  await writeFile(join(out, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  await cp(join(root, 'LICENSE'), join(out, 'LICENSE'))
  await cp(join(root, 'docs', 'client.md'), join(out, 'README.md'))
} finally {
  await rm(work, { recursive: true, force: true })
}

/** Declarations keep the names of the sources, which not every compiler takes for those of declarations. */
async function nameCompiledFiles(folder: string): Promise<void> {
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.d.ts'))) {
    const text = await readFile(join(folder, file), 'utf8')
    await writeFile(join(folder, file), text.replace(/(from '\.\/[\w-]+)\.ts'/g, "$1.js'"))
  }
}

async function compile(project: string): Promise<void> {
  const tsc = join(root, 'node_modules', '.bin', 'tsc')
  await promisify(execFile)(tsc, ['--project', project]).catch((error: { stdout?: string }) => {
    throw new Error(`the client does not compile by itself:\n${error.stdout ?? String(error)}`)
  })
}
