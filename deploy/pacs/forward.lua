-- Orthanc: every series that nothing was added to for a while goes to secondread, but for its own results.
function OnStableSeries(seriesId, tags, metadata)
  if tags['Manufacturer'] ~= 'secondread' then
    local job = { Resources = { seriesId }, Synchronous = false } -- or scripts would stand still meanwhile
    RestApiPost('/modalities/secondread/store', DumpJson(job, true))
  end
end
