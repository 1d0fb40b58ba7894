/** What Kafka is told of a topic as it is made. Kept for ever unless told otherwise. */
export const topicSettings = (replication: number, retentionMs = -1): Readonly<Record<string, string>> => ({
  'retention.ms': String(retentionMs),
  'cleanup.policy': 'delete',
  'min.insync.replicas': String(replication > 2 ? 2 : 1),
  'unclean.leader.election.enable': 'false',
})
