-- Which process could not look after it: only that one knows when it can again, for as long as it lives.
alter table embudo.generations add column error_of text;
