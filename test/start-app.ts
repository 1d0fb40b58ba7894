import { startApp } from '../src/app.ts'
import type { Config } from '../src/config.ts'
import { isPassing } from '../src/consumer/passing.ts'
import { type Role, roles, type Served } from '../src/supervisor/serve.ts'

/** The program with every role. A start that gave up on a part, as where the machine stood still, is made again. */
export const startWholeApp = async (config: Config, attempts = 5): Promise<Served> => {
  try {
    return await startApp(config, new Set<Role>(roles))
  } catch (error) {
    if (attempts === 1 || !isPassing(error)) throw error
    return await startWholeApp(config, attempts - 1)
  }
}
