import { type Request, type Response, Router, static as staticFiles } from 'express'
import swaggerUi from 'swagger-ui-dist'

/** Swagger UI over /openapi.json, from its npm package: nothing is fetched from elsewhere. */
export const docs = (): Router => {
  const router = Router()
  router.use((_request: Request, response: Response, next: () => void) => {
    response.setHeader(
      'content-security-policy',
      "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
    )
    next()
  })
  router.get('/', (_request: Request, response: Response) => void response.type('html').send(page))
  router.get('/start.js', (_request: Request, response: Response) => void response.type('js').send(start))
  router.use(staticFiles(swaggerUi.getAbsoluteFSPath(), { index: false, maxAge: '1 day' }))
  return router
}

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>embudo API</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css">
    <link rel="icon" href="/docs/favicon-32x32.png">
  </head>
  <body>
    <div id="ui"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`

const start = `SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#ui',
  deepLinking: true,
  validatorUrl: null,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  filter: true,
  defaultModelRendering: 'example',
  defaultModelsExpandDepth: 0,
})
`
