/* The Java client of Apache Kafka at its default settings: an idempotent producer, topic ids, and
 * an admin client that asks for the newest versions. The line protocol is described in repl.py. */

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

public class JavaClient {
  static final long PATIENCE_S = 60;
  static final HexFormat HEX = HexFormat.of();
  static final BufferedReader INPUT = new BufferedReader(new InputStreamReader(System.in));

  final String bootstrap;
  final Admin admin;
  String isolation = "read_uncommitted";

  JavaClient(String bootstrap) {
    this.bootstrap = bootstrap;
    this.admin = Admin.create(settings());
  }

  static synchronized void say(Object... fields) {
    List<String> texts = new ArrayList<>();
    for (Object field : fields) texts.add(String.valueOf(field));
    System.out.println(String.join("\t", texts));
    System.out.flush();
  }

  static String toHex(byte[] bytes) {
    return bytes == null ? "-" : HEX.formatHex(bytes);
  }

  static byte[] fromHex(String text) {
    return text.equals("-") ? null : HEX.parseHex(text);
  }

  Properties settings() {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", bootstrap);
    return settings;
  }

  void create(String topic, int partitions) throws Exception {
    admin.createTopics(List.of(new NewTopic(topic, Optional.of(partitions), Optional.empty())))
        .all().get(PATIENCE_S, TimeUnit.SECONDS);
  }

  void delete(String topic) throws Exception {
    admin.deleteTopics(List.of(topic)).all().get(PATIENCE_S, TimeUnit.SECONDS);
  }

  void topics() throws Exception {
    for (String topic : admin.listTopics().names().get(PATIENCE_S, TimeUnit.SECONDS))
      say("topic", topic);
  }

  void partitions(String topic) throws Exception {
    say("partitions", admin.describeTopics(List.of(topic)).allTopicNames()
        .get(PATIENCE_S, TimeUnit.SECONDS).get(topic).partitions().size());
  }

  /* What only this driver answers: `config NAME VALUE`…, `cluster ID NODES CONTROLLER`. */
  void configs(String topic) throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    for (ConfigEntry entry : admin.describeConfigs(List.of(resource)).all()
        .get(PATIENCE_S, TimeUnit.SECONDS).get(resource).entries())
      say("config", entry.name(), entry.value());
  }

  /* `alter TYPE RESOURCE OPERATION NAME VALUE`: incrementalAlterConfigs. */
  void alter(String type, String name, String operation, String config, String value)
      throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.valueOf(type), name);
    AlterConfigOp op = new AlterConfigOp(
        new ConfigEntry(config, value), AlterConfigOp.OpType.valueOf(operation));
    admin.incrementalAlterConfigs(Map.of(resource, List.of(op)))
        .all().get(PATIENCE_S, TimeUnit.SECONDS);
  }

  /* `config NAME VALUE SOURCE READONLY TYPE`, then its `synonym NAME VALUE SOURCE`…. */
  void sources(String type, String name, String config) throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.valueOf(type), name);
    DescribeConfigsOptions options = new DescribeConfigsOptions().includeSynonyms(true);
    ConfigEntry entry = admin.describeConfigs(List.of(resource), options).all()
        .get(PATIENCE_S, TimeUnit.SECONDS).get(resource).get(config);
    say("config", entry.name(), entry.value(), entry.source(), entry.isReadOnly(), entry.type());
    for (ConfigEntry.ConfigSynonym synonym : entry.synonyms())
      say("synonym", synonym.name(), synonym.value(), synonym.source());
  }

  void cluster() throws Exception {
    var cluster = admin.describeCluster();
    say("cluster", cluster.clusterId().get(PATIENCE_S, TimeUnit.SECONDS),
        cluster.nodes().get(PATIENCE_S, TimeUnit.SECONDS).size(),
        cluster.controller().get(PATIENCE_S, TimeUnit.SECONDS).id());
  }

  void grow(String topic, int partitions) throws Exception {
    admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(partitions)))
        .all().get(PATIENCE_S, TimeUnit.SECONDS);
  }

  void produce(String topic, String path, String codec, String mode) throws Exception {
    Properties settings = settings();
    settings.put("compression.type", codec);
    try (var producer = new KafkaProducer<byte[], byte[]>(
        settings, new ByteArraySerializer(), new ByteArraySerializer())) {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      for (String line : Files.readAllLines(Path.of(path))) {
        String[] fields = line.split("\t", -1);
        var record = new ProducerRecord<byte[], byte[]>(topic,
            fields[0].equals("-") ? null : Integer.valueOf(fields[0]),
            fields[1].equals("-") ? null : Long.valueOf(fields[1]),
            fromHex(fields[2]), fromHex(fields[3]));
        for (String header : fields[4].split(",")) {
          String[] pair = header.split("=", 2);
          if (pair.length == 2) record.headers().add(pair[0], fromHex(pair[1]));
        }
        sent.add(producer.send(record));
      }
      for (var future : sent) {
        RecordMetadata metadata = future.get(PATIENCE_S, TimeUnit.SECONDS);
        say("ack", metadata.partition(), metadata.offset());
      }
    }
  }

  KafkaConsumer<byte[], byte[]> consumer(String group, boolean commits) {
    Properties settings = settings();
    settings.put("auto.offset.reset", "earliest");
    settings.put("isolation.level", isolation);
    if (group != null) settings.put("group.id", group);
    if (!commits) settings.put("enable.auto.commit", "false");
    return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  static List<TopicPartition> everyPartition(Consumer<?, ?> consumer, String topic) {
    return consumer.partitionsFor(topic).stream()
        .map(info -> new TopicPartition(topic, info.partition()))
        .sorted((a, b) -> a.partition() - b.partition()).collect(Collectors.toList());
  }

  interface Sink {
    void accept(ConsumerRecord<byte[], byte[]> record) throws Exception;
  }

  /* At most `count` records; what else came with them is not marked as read. */
  static Map<TopicPartition, Long> read(
      Consumer<byte[], byte[]> consumer, int count, Sink sink) throws Exception {
    Map<TopicPartition, Long> next = new HashMap<>();
    long end = System.nanoTime() + PATIENCE_S * 1_000_000_000L;
    while (count > 0) {
      if (System.nanoTime() > end) throw new Exception("nothing for a minute, " + count + " left");
      for (var record : consumer.poll(Duration.ofMillis(200))) {
        if (count-- <= 0) break;
        end = System.nanoTime() + PATIENCE_S * 1_000_000_000L;
        next.put(new TopicPartition(record.topic(), record.partition()), record.offset() + 1);
        sink.accept(record);
      }
    }
    return next;
  }

  void consume(String topic, int count, String path) throws Exception {
    try (var consumer = consumer(null, false); PrintWriter out = new PrintWriter(path)) {
      List<TopicPartition> all = everyPartition(consumer, topic);
      consumer.assign(all);
      consumer.seekToBeginning(all);
      read(consumer, count, record -> {
        List<String> headers = new ArrayList<>();
        for (Header header : record.headers())
          headers.add(header.key() + "=" + toHex(header.value()));
        out.println(record.partition() + "\t" + record.offset() + "\t" + record.timestamp() + "\t"
            + toHex(record.key()) + "\t" + toHex(record.value()) + "\t"
            + String.join(",", headers));
      });
    }
  }

  void offsets(String topic, long timestamp) {
    try (var consumer = consumer(null, false)) {
      List<TopicPartition> all = everyPartition(consumer, topic);
      Map<TopicPartition, Long> found = new HashMap<>();
      if (timestamp == -1) {
        found = consumer.endOffsets(all);
      } else if (timestamp == -2) {
        found = consumer.beginningOffsets(all);
      } else {
        Map<TopicPartition, Long> wanted = new HashMap<>();
        for (TopicPartition partition : all) wanted.put(partition, timestamp);
        Map<TopicPartition, OffsetAndTimestamp> times = consumer.offsetsForTimes(wanted);
        for (TopicPartition partition : all)
          found.put(partition,
              times.get(partition) == null ? -1 : times.get(partition).offset());
      }
      for (TopicPartition partition : all)
        say("offset", partition.partition(), found.get(partition));
    }
  }

  static void sayRecord(ConsumerRecord<byte[], byte[]> record) {
    say("record", record.partition(), record.offset(), toHex(record.value()));
  }

  void take(String topic, String group, int count) throws Exception {
    try (var consumer = consumer(group, false)) {
      consumer.subscribe(List.of(topic));
      var next = read(consumer, count, JavaClient::sayRecord);
      consumer.commitSync(next.entrySet().stream().collect(Collectors.toMap(
          Map.Entry::getKey,
          entry -> new org.apache.kafka.clients.consumer.OffsetAndMetadata(entry.getValue()))));
    }
  }

  void member(String topic, String group) throws Exception {
    try (var consumer = consumer(group, true)) {
      var listener = new ConsumerRebalanceListener() {
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}

        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
          say("assigned", consumer.assignment().stream().map(TopicPartition::partition).sorted()
              .map(String::valueOf).collect(Collectors.joining(",")));
        }
      };
      consumer.subscribe(List.of(topic), listener);
      while (!INPUT.ready())
        for (var record : consumer.poll(Duration.ofMillis(100))) sayRecord(record);
      INPUT.readLine();
    }
  }

  void run(String[] fields) throws Exception {
    switch (fields[0]) {
      case "create" -> create(fields[1], Integer.parseInt(fields[2]));
      case "delete" -> delete(fields[1]);
      case "topics" -> topics();
      case "partitions" -> partitions(fields[1]);
      case "configs" -> configs(fields[1]);
      case "alter" -> alter(fields[1], fields[2], fields[3], fields[4], fields[5]);
      case "sources" -> sources(fields[1], fields[2], fields[3]);
      case "cluster" -> cluster();
      case "grow" -> grow(fields[1], Integer.parseInt(fields[2]));
      case "produce" -> produce(fields[1], fields[2], fields[3], fields[4]);
      case "consume" -> consume(fields[1], Integer.parseInt(fields[2]), fields[3]);
      case "isolation" -> isolation = fields[1];
      case "offsets" -> offsets(fields[1], Long.parseLong(fields[2]));
      case "take" -> take(fields[1], fields[2], Integer.parseInt(fields[3]));
      case "member" -> member(fields[1], fields[2]);
      default -> throw new Exception("unknown command");
    }
  }

  public static void main(String[] arguments) throws Exception {
    JavaClient client = new JavaClient(arguments[0]);
    say("ready", "java", AppInfoParser.getVersion());
    for (String line; (line = INPUT.readLine()) != null;) {
      try {
        client.run(line.split("\t", -1));
        say("done");
      } catch (Exception error) {
        error.printStackTrace();
        say("fail", String.valueOf(error).replace("\n", " ").replace("\t", " "));
      }
    }
    client.admin.close(Duration.ofSeconds(5));
  }
}
