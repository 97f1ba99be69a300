"""Request and response: the response topic and the correlation data arrive as they were sent."""


def test_mqtt_3_3_2_15_an_answer_finds_its_request(connect, name):
    asker, answerer = connect(), connect()
    answerer.subscribe(f"{name}/ask", 1)
    asker.subscribe(f"{name}/answer", 1)
    asker.publish(f"{name}/ask", "2+2", 1, ResponseTopic=f"{name}/answer", CorrelationData=b"\0\xff7")
    request = answerer.message()
    assert request.properties.ResponseTopic == f"{name}/answer"
    answerer.publish(request.properties.ResponseTopic, "4", 1, CorrelationData=request.properties.CorrelationData)
    answer = asker.message()
    assert (answer.payload, answer.properties.CorrelationData) == (b"4", b"\0\xff7")


def test_mqtt_3_3_2_17_every_property_of_a_publish_is_forwarded(connect, name):
    subscriber = connect()
    subscriber.subscribe(f"{name}/a", 1)
    pairs = [("b", "1"), ("a", "2"), ("b", "3")]
    connect().publish(f"{name}/a", "text", 1, PayloadFormatIndicator=1, ContentType="text/plain", UserProperty=pairs)
    found = subscriber.message().properties
    assert (found.PayloadFormatIndicator, found.ContentType) == (1, "text/plain")
    assert found.UserProperty == pairs


def test_mqtt_3_1_1_clients_get_the_message_without_its_properties(connect, name):
    subscriber = connect(version=4)
    subscriber.subscribe(f"{name}/a", 1)
    connect().publish(f"{name}/a", "text", 1, ContentType="text/plain", UserProperty=("k", "v"))
    assert subscriber.payload() == "text"
