import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { EmbudoError, messageOf } from '../define/error.ts'

export type Environment = Readonly<Record<string, string | undefined>>

const oldestJava = 17
const install =
  'Debian and Ubuntu: apt install openjdk-17-jre-headless maven; macOS: brew install openjdk@17 maven; ' +
  'or point embudo at a Kafka and a registry of your own with KAFKA_BROKERS and SCHEMA_REGISTRY_URL.'

/** What `java -version` says, after making sure that it is there and recent enough. */
export async function requireJava(environment: Environment): Promise<string> {
  const told = await run('java', ['-version'], environment, `Java ${oldestJava} or later`)
  const major = Number(/version "(\d+)/.exec(told)?.[1])
  if (Number.isNaN(major) || major >= oldestJava) return told
  throw new EmbudoError(
    'java_too_old',
    `The embedded Kafka and schema registry need Java ${oldestJava} or later; java on the PATH is ${major}. ${install}`,
    { facts: { found: major, needed: oldestJava } },
  )
}

export async function requireMaven(environment: Environment): Promise<void> {
  await run('mvn', ['-version'], environment, 'Maven (mvn), which fetches Kafka and the registry once,')
}

async function run(
  command: string,
  args: string[],
  environment: Environment,
  wanted: string,
): Promise<string> {
  try {
    const { stdout, stderr } = await promisify(execFile)(command, args, { env: { ...environment } })
    return stdout + stderr
  } catch (error) {
    throw new EmbudoError(
      `${command}_missing`,
      `The embedded Kafka and schema registry need ${wanted} and \`${command}\` could not be run. ${install}`,
      { facts: { command, reason: messageOf(error) }, cause: error },
    )
  }
}
