/** Why an event was not taken, as the caller reads it. */
export interface EventError {
  readonly code: EventErrorCode
  /** A JSON pointer into the event; the empty text is the event as a whole. */
  readonly field: string
  /** What was expected and what came. Never repeats personal text. */
  readonly detail: string
  readonly retriable: boolean
}

/** Every code that an event can be refused with: stable, and part of the OpenAPI document. */
export const eventErrorCodes = {
  malformed_json: 'The line or body is not JSON in UTF-8.',
  duplicate_key: 'An object of the event has a key twice.',
  too_deep: 'The line or body nests objects and lists deeper than 64 levels.',
  body_malformed: 'The body broke off or is not compressed as it says.',
  line_too_large: 'A line of NDJSON is longer than one line may be.',
  unknown_event_type: 'The catalogue has no event of that type.',
  missing_field: 'A field that the event must have is not there.',
  unknown_field: 'The event has a field that its schema does not know.',
  wrong_type: 'A field is of another JSON type than its schema says.',
  wrong_format: 'A text does not have the form that its field asks for.',
  not_one_of: 'A text is none of those that its field allows.',
  out_of_range: 'A number is below the minimum or above the maximum, or an integer is past 2^53.',
  too_long: 'A text, a list or a map is longer than it may be.',
  bad_text: 'A text holds NUL or half of a surrogate pair.',
  bad_decimal: 'An amount is no exact decimal of the precision and scale that its field has.',
  bad_date: 'A day is not written YYYY-MM-DD or does not exist.',
  bad_time: 'The time is not RFC 3339, lies before 1900 or too far in the future.',
  bad_subject: 'The id of the subject is empty or too long.',
  subject_mismatch: 'The envelope names another subject than the data.',
  subject_is_personal: 'The id of the subject looks like a mail address; ids stay in the log for ever.',
  unsupported_specversion: 'The CloudEvents version is not 1.0.',
  unsupported_data: 'The data does not come as JSON.',
  log_unavailable: 'The log could not be reached. Try again with the same ids.',
  log_timeout: 'The log did not answer in time. Try again with the same ids.',
  log_busy: 'Too much waits to be appended. Try again after a while.',
  server_busy: 'Too much is in flight, and no room came free in time. Try again after a while.',
  body_timeout: 'No whole line came in time.',
  stopping: 'The server stops. Send the rest again, with the same ids.',
  log_refused: 'The log refused the record.',
  record_too_large: 'The event is larger than the log takes.',
} as const

export type EventErrorCode = keyof typeof eventErrorCodes

export const eventError = (
  code: EventErrorCode,
  field: string,
  detail: string,
  retriable = false,
): EventError => ({
  code,
  field,
  detail,
  retriable,
})
