import { createClient, type Delivered, type EventInputs, type SendError } from '../../src/client/client.ts'

// What must not compile, here and in the package, against whose declarations the same file is checked by
// test/integration/client/package.test.ts.

const embudo = createClient({ url: 'http://127.0.0.1:4000', source: 'web' })

/** What must go on compiling. */
export const delivered: Promise<Delivered> = embudo.send('webinar_attended', {
  leadId: 'L-1',
  webinarId: 'W-9',
  attendanceDuration: 2710,
})
embudo.send('webinar_attended', {
  leadId: 'L-1',
  webinarId: 'W-9',
  attendanceDuration: 2710,
  engagementScore: undefined,
})
// Personal texts are plain still.
embudo.send(
  'lead_registered',
  { leadId: 'L-1', email: 'ada@example.com', firstName: null },
  { id: 'crm-17', time: new Date() },
)
embudo.send('conversion_completed', {
  leadId: 'L-1',
  conversionType: 'course',
  value: '49.00',
  currency: 'EUR',
})
const attended: EventInputs['webinar_attended'] = { leadId: 'L-1', webinarId: 'W-9', attendanceDuration: 1 }
embudo.send('webinar_attended', attended)

// An event that is not in the catalogue.
// @ts-expect-error: webinar_atended
embudo.send('webinar_atended', attended)

// The data of another event.
// @ts-expect-error: it has no email
embudo.send('lead_registered', attended)

// A field left out.
// @ts-expect-error: attendanceDuration is missing
embudo.send('webinar_attended', { leadId: 'L-1', webinarId: 'W-9' })

// A field of another type.
// @ts-expect-error: seconds, not text
embudo.send('webinar_attended', { leadId: 'L-1', webinarId: 'W-9', attendanceDuration: '45 minutes' })

// Null in a field that may not be null.
// @ts-expect-error: webinarId is text
embudo.send('webinar_attended', { leadId: 'L-1', webinarId: null, attendanceDuration: 1 })

// A field that the event does not have.
// @ts-expect-error: there is no webinar
embudo.send('webinar_attended', { ...attended, webinar: 'W-9' })

// One of a few texts.
// @ts-expect-error: fatal is none of them
embudo.send('system_alert', { alertId: 'A-1', alertType: 'lag', severity: 'fatal', message: '' })

// Nothing at all.
// @ts-expect-error: the data is missing
embudo.send('webinar_attended')

// What the platform makes by itself.
// @ts-expect-error: the source is the client's
embudo.send('webinar_attended', attended, { source: 'zoom' })

// Without saying who sends, ids would stand in one row with those of everybody else.
// @ts-expect-error: source is missing
createClient({ url: 'http://127.0.0.1:4000' })

// Of an unknown unit.
// @ts-expect-error: lingerMs
createClient({ url: 'http://127.0.0.1:4000', source: 'web', linger: 100 })

interface Shop {
  readonly cart_filled: { readonly cartId: string; readonly total: number | string }
}
const shop = createClient<Shop>({
  url: 'http://127.0.0.1:4000',
  source: 'shop',
  fetch: (url, request) => fetch(url, { ...request, credentials: 'include' }),
  onError: (error: SendError, event) => void [error.code, error.retriable, event.data],
})
shop.send('cart_filled', { cartId: 'C-1', total: 12 })

// A catalogue of one's own has only its own events.
// @ts-expect-error: of embudo's catalogue
shop.send('webinar_attended', attended)
