import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fetchArtifacts } from './artifacts.ts'
import { classArchive } from './class-archive.ts'
import { requireJava } from './java.ts'
import type { PartOptions, StartedPart } from './part.ts'
import { untilReady } from './readiness.ts'
import { startTethered } from './tethered-process.ts'

const runner = 'apicurio-registry-app-2.6.13.Final-runner.jar'

/** Apicurio Registry, behind the Confluent API that Kafka's tools speak, with its schemas in an H2 file. */
export async function startRegistry(options: PartOptions): Promise<StartedPart> {
  const javaVersion = await requireJava(options.environment)
  const home = await fetchArtifacts('registry', options)
  const folder = join(options.dataDir, 'registry')
  await mkdir(folder, { recursive: true })
  const isMade = await makeAnewUnlessMade(folder)

  const archive = await classArchive({ cacheDir: options.cacheDir, name: 'registry', javaVersion })
  // The first compiler tier alone: a registry lives too short and works too little for the second one to pay.
  const jvm = ['-Xmx300m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', ...archive.flags]
  const listen = ['-Dquarkus.http.host=127.0.0.1', `-Dquarkus.http.port=${options.ports.registry}`]
  const process = await startTethered({
    ...options,
    command: 'java',
    args: [...jvm, ...listen, '-jar', join(home, runner)],
    cwd: folder,
    environment: {
      ...options.environment,
      // Without WRITE_DELAY=0 a schema registered in the last half second before a crash is lost.
      REGISTRY_DATASOURCE_URL: `jdbc:h2:file:${join(folder, 'registry')};WRITE_DELAY=0`,
      LOG_LEVEL: 'WARN',
    },
  })
  await options.started(process)
  const address = `http://127.0.0.1:${options.ports.registry}/apis/ccompat/v7`
  await untilReady({ ...options, part: 'schema registry', process, ask: () => askForSubjects(address) })
  await isMade()
  return { address, process, afterStop: archive.keep }
}

/**
 * The registry makes its tables one by one: killed in the middle of that, it would never come up again. Nobody has
 * anything in a database that was not ready yet, so that one goes. What it returns is called once it is ready.
 */
async function makeAnewUnlessMade(folder: string): Promise<() => Promise<void>> {
  const making = join(folder, 'making')
  const files = await readdir(folder)
  if (files.includes('making')) {
    await Promise.all(files.filter(isOfDatabase).map((file) => rm(join(folder, file))))
  } else if (!files.some(isOfDatabase)) await writeFile(making, '')
  return () => rm(making, { force: true })
}

const isOfDatabase = (file: string): boolean => file.endsWith('.db')

async function askForSubjects(address: string): Promise<void> {
  const response = await fetch(`${address}/subjects`, { signal: AbortSignal.timeout(2000) })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`GET /subjects answered ${response.status}`)
}
