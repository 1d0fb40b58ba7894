import * as z from 'zod'

/** A list, here and everywhere: `nextCursor` is null on the last page. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() })

export const maxPageItems = 1_000

export const pageParameters = {
  limit: z
    .stringFormat(
      'limit',
      (text) => /^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= maxPageItems,
      {
        error: `expected an integer from 1 to ${maxPageItems}`,
      },
    )
    .transform(Number)
    .default(100)
    .meta({
      description: `Items a page, 1 to ${maxPageItems}.`,
      override: ({ jsonSchema }) => {
        Object.assign(jsonSchema, { type: 'integer', minimum: 1, maximum: maxPageItems, default: 100 })
        delete jsonSchema.format
      },
    }),
  cursor: z.string().max(8_192).optional().meta({ description: 'The nextCursor of the page before.' }),
}
