import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { env, execPath } from 'node:process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startFace } from '../http/http-face.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../../..')
const tsc = join(root, 'node_modules/.bin/tsc')

const { PATH: path = '' } = env

/** What a user of the client has: the machine's Node, not the one that comes with the project. */
const foreignNode =
  path
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
    .map((folder) => join(folder, 'node'))
    .find(existsSync) ?? execPath

/** A project that has installed nothing but the client's package. */
let consumer: string
let scratch: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'embudo-package-'))
  consumer = join(scratch, 'consumer')
  await mkdir(consumer)
  await run(execPath, [join(root, 'src/client/package/build.ts'), '--out', join(scratch, 'dist')])
  await run('npm', ['pack', './dist', '--pack-destination', scratch], { cwd: scratch })
  const packed = (await readdir(scratch)).find((file) => file.endsWith('.tgz'))
  await writeFile(join(consumer, 'package.json'), '{ "type": "module" }')
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', join(scratch, packed ?? '')], {
    cwd: consumer,
  })
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

const check = async (name: string, source: string, options: object): Promise<string> => {
  const folder = join(consumer, name)
  await mkdir(folder)
  await writeFile(join(folder, 'consumer.ts'), source)
  const compilerOptions = { noEmit: true, strict: true, target: 'es2022', types: [], ...options }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  return await run(tsc, ['--project', folder]).then(
    () => '',
    ({ stdout }: { stdout: string }) => stdout,
  )
}

describe('the package', () => {
  it('runs on the Node that the user has, and the process ends by itself once all is accepted', async () => {
    await using face = await startFace()
    const program = `
      import { createClient } from 'embudo/client'
      const onError = (error) => { throw error }
      const embudo = createClient({ url: process.argv[2], source: 'shop', requestTimeoutMs: 600_000, onError })
      const leadId = 'L-1'
      const sent = embudo.send('webinar_attended', { leadId, webinarId: 'W-9', attendanceDuration: 2710 })
      embudo.send('conversion_completed', { leadId, conversionType: 'course', value: 49, currency: 'EUR' })
      sent.then((delivered) => console.log(JSON.stringify({ delivered, node: process.versions.node })))
    `
    await writeFile(join(consumer, 'send.js'), program)
    const { stdout, stderr } = await run(foreignNode, [join(consumer, 'send.js'), face.url])
    const { delivered, node } = JSON.parse(stdout) as { delivered: unknown; node: string }
    const appended = await face.appended()
    expect(appended.map(({ type, source }) => [type, source])).toEqual([
      ['webinar_attended', 'shop'],
      ['conversion_completed', 'shop'],
    ])
    expect(appended[1]?.data).toMatchObject({ value: '49.00' })
    expect(delivered).toEqual({
      id: appended[0]?.id,
      position: expect.stringMatching(/^embudo\.leads:\d+:1$/),
    })
    expect(Number(node.split('.')[0])).toBeGreaterThanOrEqual(20)
    expect(stderr).toBe('')
  })

  it('does not keep an idle process alive, whether or not the client was closed', async () => {
    await writeFile(
      join(consumer, 'idle.js'),
      `import { createClient } from 'embudo/client'; createClient({ url: 'http://127.0.0.1:1', source: 'shop' })`,
    )
    await run(foreignNode, [join(consumer, 'idle.js')], { timeout: 120_000 })
  })

  it.each([
    ['a browser', { module: 'esnext', moduleResolution: 'bundler', lib: ['es2022', 'dom'] }],
    ['Node', { module: 'nodenext', lib: ['es2022', 'dom'], exactOptionalPropertyTypes: true }],
  ])('refuses in %s what the source refuses', async (name, options) => {
    const source = await readFile(join(root, 'test/types/client.ts'), 'utf8')
    const imported = source.replace('../../src/client/client.ts', 'embudo/client')
    expect(imported).not.toBe(source)
    expect(await check(name, imported, options)).toBe('')
    // Would the check notice?
    const loose = imported.replaceAll(/^\s*\/\/ @ts-expect-error.*$/gm, '')
    expect((await check(`${name} without expectations`, loose, options)).match(/error TS/g)).toHaveLength(
      imported.match(/@ts-expect-error/g)?.length ?? -1,
    )
  })

  it('takes amounts as numbers too, and only amounts', async () => {
    const source = (field: string) => `
      import { createClient } from 'embudo/client'
      const data = { leadId: 'L-1', conversionType: 'course', value: '49.00', currency: 'EUR' }
      createClient({ url: '', source: 'web' }).send('conversion_completed', { ...data, ${field}: 49 })
    `
    const options = { module: 'nodenext', lib: ['es2022', 'dom'] }
    expect(await check('amount', source('value'), options)).toBe('')
    expect(await check('no amount', source('currency'), options)).toMatch(/error TS2322/)
  })

  it('stands by itself', async () => {
    const folder = join(consumer, 'node_modules/embudo')
    const { exports, dependencies } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
    expect(dependencies).toBeUndefined()
    const files = await readdir(join(folder, 'client'))
    for (const file of files) {
      const text = await readFile(join(folder, 'client', file), 'utf8')
      const imported = [...text.matchAll(/(?:from|import) ?\(?'([^']+)'/g)].map((match) => match[1] ?? '')
      const own = imported.filter((path) => files.includes(path.replace('./', '')))
      expect(imported, file).toEqual(own)
    }
    // A clone that is linked or installed as a whole shows the same file.
    const whole = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    expect(whole.exports['./client'].default).toBe(exports['./client'].default.replace('./', './dist/'))
  })
})
