// The sarama client from Debian's Go packages, built without modules or network. It asks for
// version 2.1 of the protocol, the oldest that knows zstd; its default is from before record
// batches, which no current Kafka serves. The line protocol is described in repl.py.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Shopify/sarama"
)

const patience = 60 * time.Second

var bootstrap []string
var input *bufio.Reader
var output sync.Mutex

func say(fields ...interface{}) {
	output.Lock()
	defer output.Unlock()
	for i, field := range fields {
		if i > 0 {
			fmt.Print("\t")
		}
		fmt.Print(field)
	}
	fmt.Println()
}

func toHex(bytes []byte) string {
	if bytes == nil {
		return "-"
	}
	return hex.EncodeToString(bytes)
}

func fromHex(text string) (sarama.Encoder, error) {
	if text == "-" {
		return nil, nil
	}
	bytes, err := hex.DecodeString(text)
	return sarama.ByteEncoder(bytes), err
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return value
}

func settings() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V2_1_0_0
	config.Producer.Return.Successes = true
	config.Consumer.Return.Errors = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	// Without a retention it commits with a version that Kafka 4 has dropped.
	config.Consumer.Offsets.Retention = 24 * time.Hour
	return config
}

func withAdmin(action func(sarama.ClusterAdmin) error) error {
	admin, err := sarama.NewClusterAdmin(bootstrap, settings())
	if err != nil {
		return err
	}
	defer admin.Close()
	return action(admin)
}

func create(fields []string) error {
	return withAdmin(func(admin sarama.ClusterAdmin) error {
		return admin.CreateTopic(fields[1], &sarama.TopicDetail{
			NumPartitions: int32(number(fields[2])), ReplicationFactor: 1}, false)
	})
}

func deleteTopic(fields []string) error {
	return withAdmin(func(admin sarama.ClusterAdmin) error { return admin.DeleteTopic(fields[1]) })
}

func withClient(action func(sarama.Client) error) error {
	client, err := sarama.NewClient(bootstrap, settings())
	if err != nil {
		return err
	}
	defer client.Close()
	return action(client)
}

func topics(fields []string) error {
	return withClient(func(client sarama.Client) error {
		names, err := client.Topics()
		for _, name := range names {
			say("topic", name)
		}
		return err
	})
}

func partitions(fields []string) error {
	return withClient(func(client sarama.Client) error {
		all, err := client.Partitions(fields[1])
		say("partitions", len(all))
		return err
	})
}

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4,
	"zstd": sarama.CompressionZSTD,
}

func readRecords(topic, path string) ([]*sarama.ProducerMessage, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var messages []*sarama.ProducerMessage
	for _, line := range strings.Split(strings.TrimSuffix(string(content), "\n"), "\n") {
		fields := strings.Split(line, "\t")
		message := &sarama.ProducerMessage{Topic: topic, Partition: -1}
		if fields[0] != "-" {
			message.Partition = int32(number(fields[0]))
		}
		if fields[1] != "-" {
			message.Timestamp = time.Unix(0, number(fields[1])*int64(time.Millisecond))
		}
		if message.Key, err = fromHex(fields[2]); err != nil {
			return nil, err
		}
		if message.Value, err = fromHex(fields[3]); err != nil {
			return nil, err
		}
		for _, header := range strings.Split(fields[4], ",") {
			if pair := strings.SplitN(header, "=", 2); len(pair) == 2 {
				value, err := hex.DecodeString(pair[1])
				if err != nil {
					return nil, err
				}
				message.Headers = append(message.Headers,
					sarama.RecordHeader{Key: []byte(pair[0]), Value: value})
			}
		}
		messages = append(messages, message)
	}
	return messages, nil
}

func produce(fields []string) error {
	messages, err := readRecords(fields[1], fields[2])
	if err != nil {
		return err
	}
	config := settings()
	config.Producer.Compression = codecs[fields[3]]
	if fields[4] == "idempotent" {
		config.Producer.Idempotent = true
		config.Producer.RequiredAcks = sarama.WaitForAll
		config.Net.MaxOpenRequests = 1
	}
	if messages[0].Partition >= 0 {
		config.Producer.Partitioner = sarama.NewManualPartitioner
	}
	producer, err := sarama.NewSyncProducer(bootstrap, config)
	if err != nil {
		return err
	}
	defer producer.Close()
	if err := producer.SendMessages(messages); err != nil {
		return err
	}
	for _, message := range messages {
		say("ack", message.Partition, message.Offset)
	}
	return nil
}

// Reads every partition from its start until there are `left` records.
func consume(fields []string) error {
	consumer, err := sarama.NewConsumer(bootstrap, settings())
	if err != nil {
		return err
	}
	defer consumer.Close()
	all, err := consumer.Partitions(fields[1])
	if err != nil {
		return err
	}
	messages := make(chan *sarama.ConsumerMessage)
	failures := make(chan error, len(all))
	stop := make(chan struct{})
	defer close(stop)
	for _, partition := range all {
		reader, err := consumer.ConsumePartition(fields[1], partition, sarama.OffsetOldest)
		if err != nil {
			return err
		}
		defer reader.AsyncClose()
		go func() {
			for {
				select {
				case message := <-reader.Messages():
					select {
					case messages <- message:
					case <-stop:
						return
					}
				case err := <-reader.Errors():
					if err != nil {
						failures <- err
					}
					return
				case <-stop:
					return
				}
			}
		}()
	}
	out, err := os.Create(fields[3])
	if err != nil {
		return err
	}
	defer out.Close()
	for left := number(fields[2]); left > 0; left-- {
		select {
		case message := <-messages:
			var headers []string
			for _, header := range message.Headers {
				headers = append(headers, string(header.Key)+"="+toHex(header.Value))
			}
			fmt.Fprintf(out, "%d\t%d\t%d\t%s\t%s\t%s\n", message.Partition, message.Offset,
				message.Timestamp.UnixNano()/int64(time.Millisecond), toHex(message.Key),
				toHex(message.Value), strings.Join(headers, ","))
		case err := <-failures:
			return err
		case <-time.After(patience):
			return fmt.Errorf("consume: nothing for a minute, %d left", left)
		}
	}
	return nil
}

func offsets(fields []string) error {
	return withClient(func(client sarama.Client) error {
		all, err := client.Partitions(fields[1])
		if err != nil {
			return err
		}
		for _, partition := range all {
			offset, err := client.GetOffset(fields[1], partition, number(fields[2]))
			if err != nil {
				return err
			}
			say("offset", partition, offset)
		}
		return nil
	})
}

// handler is a group member: it says what it owns and reads, and after `left` records it stops.
type handler struct {
	left  int64
	mutex sync.Mutex
	stop  context.CancelFunc
}

func (h *handler) Setup(session sarama.ConsumerGroupSession) error {
	var owned []int
	for _, claims := range session.Claims() {
		for _, partition := range claims {
			owned = append(owned, int(partition))
		}
	}
	sort.Ints(owned)
	if h.left < 0 {
		say("assigned", strings.Trim(strings.Replace(fmt.Sprint(owned), " ", ",", -1), "[]"))
	}
	return nil
}

func (h *handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *handler) ConsumeClaim(
	session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		h.mutex.Lock()
		if h.left == 0 {
			h.mutex.Unlock()
			return nil
		}
		say("record", message.Partition, message.Offset, toHex(message.Value))
		session.MarkMessage(message, "")
		if h.left > 0 {
			h.left--
			if h.left == 0 {
				h.stop()
			}
		}
		h.mutex.Unlock()
	}
	return nil
}

func runGroup(ctx context.Context, topic, name string, h *handler) error {
	group, err := sarama.NewConsumerGroup(bootstrap, name, settings())
	if err != nil {
		return err
	}
	defer group.Close()
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{topic}, h); err != nil {
			return err
		}
	}
	return nil
}

func take(fields []string) error {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	h := &handler{left: number(fields[3]), stop: stop}
	if err := runGroup(ctx, fields[1], fields[2], h); err != nil {
		return err
	}
	if h.left > 0 {
		return fmt.Errorf("take: %d records missing", h.left)
	}
	return nil
}

func member(fields []string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- runGroup(ctx, fields[1], fields[2], &handler{left: -1}) }()
	left := make(chan struct{})
	go func() {
		input.ReadString('\n')
		close(left)
	}()
	select {
	case err := <-ended:
		return err
	case <-left:
		stop()
		return <-ended
	}
}

func main() {
	bootstrap = []string{os.Args[1]}
	input = bufio.NewReader(os.Stdin)
	commands := map[string]func([]string) error{
		"create": create, "delete": deleteTopic, "topics": topics, "partitions": partitions,
		"produce": produce, "consume": consume, "offsets": offsets, "take": take,
		"member": member,
	}
	say("ready", "sarama", "1.22.1")
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			return
		}
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if command, known := commands[fields[0]]; !known {
			say("fail", "unknown command")
		} else if err := command(fields); err != nil {
			say("fail", strings.Replace(err.Error(), "\n", " ", -1))
		} else {
			say("done")
		}
	}
}
