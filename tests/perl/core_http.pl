#!/usr/bin/env perl
# core_http.pl publish NSQD_HTTP TOPIC CODING: one /pub, a binary /mpub of two.
# core_http.pl lines NSQD_HTTP TOPIC: an /mpub of two lines.
# core_http.pl lookup LOOKUPD_HTTP TOPIC: the TCP addresses of the nsqds that have the topic.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Bodies;
use HTTP::Tiny;
use JSON::PP ();
use Wire;

my ($what, $address, $topic, $coding) = @ARGV;
my $http = HTTP::Tiny->new(timeout => 10);

sub done {
    my ($answer) = @_;
    die "$answer->{url}: $answer->{status} $answer->{content}\n" unless $answer->{success};
    return $answer->{content};
}

sub post {
    my ($path, $octets) = @_;
    my $answer = done($http->request(POST => "http://$address$path", { content => $octets }));
    die "answered $answer\n" unless $answer eq 'OK';
}

if ($what eq 'publish') {
    my $body = Bodies::encoded($coding);
    post("/pub?topic=$topic", $body);
    post("/mpub?topic=$topic&binary=true", Wire::batch($body, $body));
}
elsif ($what eq 'lines') {
    post("/mpub?topic=$topic", "one\ntwo\n");
}
else {
    my $found = JSON::PP::decode_json(done($http->get("http://$address/lookup?topic=$topic")));
    print "$_->{broadcast_address}:$_->{tcp_port}\n" for @{ $found->{producers} };
}
