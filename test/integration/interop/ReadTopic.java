import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.avro.Conversions;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Reads a topic as any Java program would: Kafka's own client, the registry over HTTP, Avro's own library.
 * Prints one JSON object a record. Arguments: brokers, address of the registry, topic.
 */
public class ReadTopic {
  private static final ObjectMapper json = new ObjectMapper();
  private static final HttpClient http = HttpClient.newHttpClient();
  private static final Map<Integer, Schema> schemas = new HashMap<>();
  private static final GenericData avro = new GenericData();

  public static void main(String[] args) throws Exception {
    avro.addLogicalTypeConversion(new Conversions.DecimalConversion());
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("isolation.level", "read_committed");
    try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
      List<TopicPartition> partitions =
          consumer.partitionsFor(args[2]).stream().map(it -> new TopicPartition(args[2], it.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (partitions.stream().anyMatch(it -> consumer.position(it) < ends.get(it))) {
        for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
          System.out.println(json.writeValueAsString(describe(record, args[1])));
        }
      }
    }
  }

  private static ObjectNode describe(ConsumerRecord<String, byte[]> record, String registry) throws Exception {
    ByteBuffer value = ByteBuffer.wrap(record.value());
    if (value.get() != 0) throw new IllegalStateException("not framed as Confluent does");
    int schemaId = value.getInt();
    Schema schema = schemaOf(schemaId, registry);
    BinaryDecoder bytes =
        DecoderFactory.get().binaryDecoder(record.value(), value.position(), value.remaining(), null);
    GenericRecord data = new GenericDatumReader<GenericRecord>(schema, schema, avro).read(null, bytes);
    if (!bytes.isEnd()) throw new IllegalStateException("bytes are left behind the record");

    ObjectNode described = json.createObjectNode();
    described.put("partition", record.partition()).put("offset", record.offset()).put("key", record.key());
    described.put("schema", schema.getFullName());
    ObjectNode headers = described.putObject("headers");
    for (Header header : record.headers()) {
      headers.put(header.key(), new String(header.value(), StandardCharsets.UTF_8));
    }
    ObjectNode fields = described.putObject("data");
    for (Schema.Field field : schema.getFields()) {
      Object content = data.get(field.name());
      if (content instanceof BigDecimal amount) fields.put(field.name(), amount.toPlainString());
      else if (content instanceof CharSequence text) fields.put(field.name(), text.toString());
      else fields.set(field.name(), json.valueToTree(content));
    }
    return described;
  }

  private static Schema schemaOf(int id, String registry) throws Exception {
    Schema known = schemas.get(id);
    if (known != null) return known;
    HttpRequest request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id)).build();
    HttpResponse<String> response = http.send(request, HttpResponse.BodyHandlers.ofString());
    Schema schema = new Schema.Parser().parse(json.readTree(response.body()).get("schema").asText());
    schemas.put(id, schema);
    return schema;
  }
}
